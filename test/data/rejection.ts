import { expect } from 'chai';
import { DataError } from '../../lib/errors.js';

/** The message of the DataError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(DataError);
  return error instanceof DataError ? error.message : '';
}
