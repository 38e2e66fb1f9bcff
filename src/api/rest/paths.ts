/** Where do the routes of the REST door stand? */

export const TENANTS = '/api/v1/tenants';
export const TENANT = `${TENANTS}/:id`;
/** Heading of the reference. */
export const TAG = 'Tenants';
