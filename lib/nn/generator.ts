import { expectInteger } from '../check.js';
import { STREAMS } from '../random.js';

export interface GeneratorState {
  seed: number;
  offset: number;
}

/** Hands out parts of one Philox sequence, so that no two draws share numbers, and a resumed run goes on exactly. */
export class Generator {
  #seed: number;
  #offset = 0;

  constructor(
    seed: number,
    /** Sequences of different streams are independent. */
    readonly stream: number,
  ) {
    this.#seed = expectInteger('seed', seed, 0);
  }

  /** The place of the next `elements` numbers, four of which make a block. */
  take(elements: number): { seed: number; stream: number; offset: number } {
    const offset = this.#offset;
    this.#offset += Math.ceil(elements / 4);
    return { seed: this.#seed, stream: this.stream, offset };
  }

  state(): GeneratorState {
    return { seed: this.#seed, offset: this.#offset };
  }

  load(state: GeneratorState): void {
    this.#seed = expectInteger('seed', state.seed, 0);
    this.#offset = expectInteger('offset', state.offset, 0);
  }
}

/** What layers draw from that were given no generator of their own. */
export const defaultGenerators = {
  init: new Generator(0, STREAMS.init),
  dropout: new Generator(0, STREAMS.dropout),
};

/** Starts the sequences anew that initialisation and dropout draw from, where layers have no generator of their own. */
export function manualSeed(seed: number): void {
  for (const generator of Object.values(defaultGenerators)) generator.load({ seed, offset: 0 });
}
