/** What the options of the rigs and benches are made of. */
import { InvalidArgumentError } from 'commander';

/** Reads an option's text. Refuses, with commander's error, what is no whole number of at least `least`. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`It is to be a whole number of at least ${least}.`);
    return value;
  };
}
