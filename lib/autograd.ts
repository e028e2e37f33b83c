import { AsyncLocalStorage } from 'node:async_hooks';
import { ArgumentError, DisposedError, expected, ShapeError } from './errors.js';
import type { Saved } from './native.js';
import { keep, tidy, unscoped } from './scope.js';
import { empty, full, type GraphLink, type Memory, sameShape, Tensor } from './tensor.js';

/** The gradients of an operation's inputs, in their order; null for an input that has none. */
export type Backward = (dy: Tensor, needs: readonly boolean[]) => readonly (Tensor | null)[];

/** What an operation keeps for its backward; freed with the graph. */
export class Tape {
  readonly #owned: { dispose(): void }[] = [];
  readonly #relied: { memory: Memory; changes: number }[] = [];

  /** Keeps the numbers of `tensor`, even if that is disposed. */
  save(tensor: Tensor): Tensor {
    const saved = unscoped(() => tensor.view(tensor.shape));
    this.#owned.push(saved);
    this.#rely(tensor);
    return saved;
  }

  /** Keeps a backend's saved state, which belongs to the device of `x` and may share memory with `x` and `y`. */
  own(saved: Saved, x: Tensor, y: Tensor): Saved {
    const { backend } = x.device;
    this.#owned.push({ dispose: () => backend.release(saved) });
    this.#rely(x);
    this.#rely(y);
    return saved;
  }

  /** Whether all that was saved is as it was then. */
  get intact(): boolean {
    return this.#relied.every(({ memory, changes }) => memory.changes === changes);
  }

  #rely({ memory }: Tensor): void {
    this.#relied.push({ memory, changes: memory.changes });
  }

  dispose(): void {
    for (const item of this.#owned.splice(0)) item.dispose();
  }
}

const mode = new AsyncLocalStorage<'off'>();

/** Runs `body` (sync or async) without recording: nothing is kept for a backward. */
export function noGrad<T>(body: () => T): T {
  return mode.run('off', body);
}

let created = 0;

/** A recorded operation: how to get the gradients of its inputs from that of its output. */
class GraphNode implements GraphLink {
  readonly id = created++;
  /** Its output, and the later operations that took it as an input. */
  #references = 1;
  #backward: Backward | undefined;

  constructor(
    readonly op: string,
    /** What spans of its backward carry, as those of its forward do. */
    readonly label: string,
    /** For each input the operation that made it, the leaf that wants a gradient, or nothing. */
    readonly inputs: readonly (GraphNode | Tensor | undefined)[],
    readonly tape: Tape,
    backward: Backward,
  ) {
    this.#backward = backward;
    for (const input of inputs) if (input instanceof GraphNode) input.#references++;
  }

  /**
   * What computes the gradients of the inputs.
   * @throws {DisposedError} where an earlier backward used it up
   * @throws {ArgumentError} where what it needs was changed
   */
  get backward(): Backward {
    if (this.#backward === undefined) {
      throw new DisposedError(
        `Expected graph that no earlier backward used up for ${this.op} but received a used one`,
      );
    }
    if (!this.tape.intact) {
      throw new ArgumentError(
        `Expected unchanged numbers for the backward of ${this.op} but received a tensor that was written in place`,
      );
    }
    return this.#backward;
  }

  /** The gradients of the inputs. What was kept for them is freed: this can be called once. */
  gradients(dy: Tensor): readonly (Tensor | null)[] {
    const { backward } = this;
    const needs = this.inputs.map((input) => input !== undefined);
    const gradients = dy.device.labelled(this.label, () => noGrad(() => tidy(() => backward(dy, needs))));
    this.#free();
    return gradients;
  }

  release(): void {
    const waiting: GraphNode[] = [this];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (--node.#references > 0) continue;
      node.#free();
      for (const input of node.inputs) if (input instanceof GraphNode) waiting.push(input);
    }
  }

  #free(): void {
    this.#backward = undefined;
    this.tape.dispose();
  }
}

/**
 * Records an operation, if one of its inputs wants a gradient. `keepFor` is called then, and returns the backward.
 * @returns `output`
 */
export function record(
  op: string,
  output: Tensor,
  inputs: readonly (Tensor | null | undefined)[],
  keepFor: (tape: Tape) => Backward,
): Tensor {
  if (!recording(inputs)) return output;
  const edges = inputs.map((input) => {
    if (input?.link instanceof GraphNode) return input.link;
    return input?.requiresGrad ? input : undefined;
  });
  const tape = new Tape();
  output.link = new GraphNode(op, output.device.label, edges, tape, keepFor(tape));
  return output;
}

/** Whether an operation on these inputs will be recorded. */
export function recording(inputs: readonly (Tensor | null | undefined)[]): boolean {
  return (
    mode.getStore() !== 'off' && inputs.some((input) => input?.requiresGrad || input?.link !== undefined)
  );
}

/**
 * Computes d loss / d leaf for every leaf with `requiresGrad` that `loss` was computed from, and adds it to the leaf's
 * `grad`. Frees the graph as it goes: one graph serves one backward.
 * @param cotangent the gradient of `loss`, of its shape; default 1, for a scalar
 */
export function backward(loss: Tensor, cotangent?: Tensor): void {
  const root = loss.link;
  if (!(root instanceof GraphNode)) {
    throw new ArgumentError(
      `Expected tensor computed from one that requires a gradient for loss but received ${loss}`,
    );
  }
  if (cotangent === undefined && loss.size !== 1) {
    throw new ShapeError(expected('cotangent, or a loss of one element', 'loss', loss.shape));
  }
  if (cotangent !== undefined) {
    if (!(cotangent instanceof Tensor) || cotangent.dtype !== 'float32' || cotangent.device !== loss.device) {
      throw new ArgumentError(expected(`float32 tensor on ${loss.device.name}`, 'cotangent', cotangent));
    }
    if (!sameShape(cotangent.shape, loss.shape)) {
      throw new ShapeError(expected(`shape [${loss.shape.join(', ')}]`, 'cotangent', cotangent.shape));
    }
  }
  const nodes = newestFirst(root);
  // Before the first gradient is added anywhere.
  for (const node of nodes) node.backward;
  // Where something fails halfway, what is nobody's `grad` yet goes with the scope.
  tidy(() => {
    const pending = new Map<GraphNode, Tensor>();
    pending.set(root, cotangent?.view(cotangent.shape) ?? full(loss.shape, 1, { device: loss.device }));
    for (const node of nodes) {
      const dy = pending.get(node);
      if (dy === undefined) continue;
      const gradients = node.gradients(dy);
      dy.dispose();
      node.inputs.forEach((input, i) => {
        const gradient = gradients[i];
        if (!gradient) return;
        if (input instanceof GraphNode) pending.set(input, sum(pending.get(input), gradient));
        else if (input === undefined || input.disposed) gradient.dispose();
        else input.grad = keep(sum(input.grad, ownMemory(gradient)));
      });
    }
  });
}

/** An operation is newer than those that made its inputs. */
function newestFirst(root: GraphNode): GraphNode[] {
  const found = new Set<GraphNode>([root]);
  for (const node of found) for (const input of node.inputs) if (input instanceof GraphNode) found.add(input);
  return [...found].sort((a, b) => b.id - a.id);
}

/** A leaf's gradient is its own: those of `add` share one memory, that of `reshape` may be the cotangent's. */
function ownMemory(gradient: Tensor): Tensor {
  if (gradient.memory.views === 1) return gradient;
  const copy = empty(gradient.shape, { device: gradient.device });
  gradient.device.backend.scale({ factor: 1 }, gradient.handle, copy.handle);
  gradient.dispose();
  return copy;
}

/** Gradients may share memory with others: a sum is a new tensor. Takes both over. */
function sum(a: Tensor | undefined, b: Tensor): Tensor {
  if (a === undefined || a.disposed) return b;
  const total = empty(a.shape, { device: a.device });
  a.device.backend.add(a.handle, b.handle, total.handle);
  a.dispose();
  b.dispose();
  return total;
}
