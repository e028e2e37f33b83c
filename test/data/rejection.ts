import { expect } from 'chai';
import { DataError } from '../../lib/errors.js';

/** The message of the error, of a kind, that a promise rejects with. */
export async function rejection(
  promise: Promise<unknown>,
  kind: new (message: string) => Error = DataError,
): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(kind);
  return error instanceof kind ? error.message : '';
}
