// One linter, type-aware, without warnings. Beside the recommended rules it holds the arrows of
// docs/architecture.md (who may import whom) and the bans of the house; every ban says why.
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Which rooms of src each room may import besides itself. Anything not listed is refused. */
const arrows = {
  tenant: [],
  database: ['clock'],
  vault: ['database', 'clock'],
  kubernetes: ['clock'],
  store: ['tenant', 'database', 'kubernetes', 'clock'],
  accounts: ['tenant', 'database', 'vault/seal', 'clock'],
  controller: ['clock'],
  leases: ['controller', 'database', 'clock'],
  fly: ['clock'],
  simulator: ['fly/wire', 'clock'],
  reconcilers: ['accounts', 'controller', 'fly', 'vault', 'database', 'store', 'tenant', 'clock'],
  ledger: ['database', 'vault', 'clock'],
  api: ['accounts', 'store', 'vault', 'ledger', 'tenant', 'clock'],
  cli: ['vault', 'accounts', 'database', 'clock', 'config', 'log'],
};

const rooms = Object.keys(arrows);

/** A pattern that matches an import of `room` (or of one file in it) from inside another room. */
function importOf(target) {
  return `^(\\.\\./)+${target}${target.includes('/') || target === 'clock' ? '\\.ts$' : '/'}`;
}

function arrowRule(room) {
  const allowed = arrows[room];
  const refused = [...rooms, 'clock', 'main', 'config', 'log']
    .filter((other) => other !== room && !allowed.includes(other))
    .map((other) => {
      const files = allowed.filter((entry) => entry.startsWith(`${other}/`));
      const except =
        files.length > 0 ? `(?!${files.map((entry) => entry.slice(other.length + 1)).join('|')}\\.ts$)` : '';
      const single = ['clock', 'main', 'config', 'log'].includes(other);
      return {
        regex: single ? importOf(other).replace('\\.ts$', '\\.ts$') : `^(\\.\\./)+${other}/${except}`,
        message: `src/${room} must not import src/${other}: see the arrows in docs/architecture.md.`,
      };
    });
  return {
    files: [`src/${room}/**/*.ts`],
    rules: { 'no-restricted-imports': ['error', { patterns: refused }] },
  };
}

const clockBans = [
  {
    selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']",
    message: 'Take a Clock (src/clock.ts): tests and the simulation replace time.',
  },
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: 'Take a Clock (src/clock.ts): tests and the simulation replace time.',
  },
  {
    selector: "CallExpression[callee.object.name='Math'][callee.property.name='random']",
    message: 'Take a Clock (src/clock.ts) for jitter, node:crypto for secrets.',
  },
  {
    selector: "MemberExpression[object.name='process'][property.name='env']",
    message: 'Only src/config.ts reads the environment.',
  },
];

export default tseslint.config(
  { ignores: ['dist/', '.landlord/', '.cache/', 'coverage/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines': ['error', { max: 300 }],
      'max-lines-per-function': ['error', { max: 70 }],
      'max-depth': ['error', 3],
      eqeqeq: 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-console': 'error', 'no-restricted-syntax': ['error', ...clockBans] },
  },
  {
    files: ['src/clock.ts', 'src/config.ts', 'src/simulator/main.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  ...rooms.map(arrowRule),
  {
    // A describe() or a table of cases is a list, not a function to be understood at once.
    files: ['test/**/*.ts'],
    rules: {
      'max-lines-per-function': 'off',
      'max-lines': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    // Every answer there was held against Fly's schema on its way, so tests look into it without a cast at every step.
    files: ['test/simulator/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/restrict-plus-operands': 'off',
    },
  },
  { files: ['**/*.js'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
);
