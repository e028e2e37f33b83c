import { AsyncLocalStorage } from 'node:async_hooks';
import { types } from 'node:util';

/** Something that holds device memory. */
export interface Disposable {
  dispose(): void;
  /** The scope that disposes of it, if any. @internal */
  scope: Scope | undefined;
}
type Scope = Set<Disposable>;

/** The scope of the innermost tidy() that the current call, sync or async, runs in. */
const current = new AsyncLocalStorage<Scope | undefined>();

/** Makes the current scope the one that disposes of `item`. */
export function register(item: Disposable): void {
  item.scope = current.getStore();
  item.scope?.add(item);
}

/** Takes `item` out of its scope: the caller disposes of it. */
export function keep<T extends Disposable>(item: T): T {
  item.scope?.delete(item);
  item.scope = undefined;
  return item;
}

/** Runs `body` outside all scopes: what it makes belongs to the caller. */
export function unscoped<T>(body: () => T): T {
  return current.run(undefined, body);
}

/**
 * Runs `body` and disposes of every tensor that was made in it, but for those in its result (a tensor, or arrays and
 * plain objects of tensors), which go to the scope around. With an async `body` the tensors live until its promise
 * settles; scopes that run interleaved do not mix.
 */
export function tidy<T>(body: () => T): T {
  const scope: Scope = new Set();
  const close = (result: unknown): void => {
    const kept = new Set<Disposable>();
    collect(result, scope, kept);
    for (const item of kept) {
      keep(item);
      register(item);
    }
    for (const item of scope) item.dispose();
  };
  let result: T;
  try {
    result = current.run(scope, body);
  } catch (error) {
    close(undefined);
    throw error;
  }
  if (!types.isPromise(result)) {
    close(result);
    return result;
  }
  return result.then(
    (value: unknown) => {
      close(value);
      return value;
    },
    (error: unknown) => {
      close(undefined);
      throw error;
    },
  ) as T;
}

function collect(value: unknown, scope: ReadonlySet<Disposable>, found: Set<Disposable>): void {
  if (typeof value !== 'object' || value === null) return;
  if (scope.has(value as Disposable)) {
    found.add(value as Disposable);
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, scope, found);
  } else if (isPlain(value)) {
    for (const item of Object.values(value)) collect(item, scope, found);
  }
}

/** An object literal of any realm: a vm context has an Object.prototype of its own. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype !== null && Object.getPrototypeOf(prototype) === null;
}
