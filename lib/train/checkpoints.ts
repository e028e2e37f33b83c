import { rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { FileWriteError, reasonOf } from '../errors.js';
import { makeFolder } from '../io/folder.js';
import type { AlexNet } from '../models/alexnet.js';
import type { Optimizer } from '../optim/optimizer.js';
import { type ModelFile, saveModelFile } from './model_file.js';
import type { ModelInfo } from './model_info.js';
import type { TrainingState } from './training_state.js';

const BEST = 'best.safetensors';

/** The checkpoints of a run: `last.safetensors` and `best.safetensors` in a folder, or none without one. */
export class Checkpoints {
  readonly #folder: string | undefined;
  #newest: string | null = null;
  #newestStep = 0;
  /** Whether best.safetensors, if there is one, is of this run. */
  #bestIsOurs = false;

  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  /** The newest from which training can go on. */
  get newest(): string | null {
    return this.#newest;
  }

  /** Of the newest. */
  get newestStep(): number {
    return this.#newestStep;
  }

  /** Takes the one that training goes on from for the newest. */
  startFrom({ path }: ModelFile, { step }: TrainingState): void {
    this.#newest = path;
    this.#newestStep = step;
    this.#bestIsOurs = this.#folder !== undefined && resolve(dirname(path)) === resolve(this.#folder);
  }

  /** @throws {FileWriteError} */
  async makeFolder(): Promise<void> {
    const folder = this.#folder;
    if (folder === undefined) return;
    await makeFolder(folder).catch((cause: unknown) => {
      throw new FileWriteError(
        `Expected folder that can be made for out but received ${folder} (${reasonOf(cause)})`,
        { cause },
      );
    });
  }

  /** The model alone. @throws {FileWriteError} */
  async saveBest(info: ModelInfo, model: AlexNet): Promise<void> {
    if (this.#folder === undefined) return;
    await saveModelFile(join(this.#folder, BEST), info, model);
    this.#bestIsOurs = true;
  }

  /** All that training needs to go on. @throws {FileWriteError} */
  async saveLast(
    info: ModelInfo,
    training: TrainingState,
    model: AlexNet,
    optimizer: Optimizer,
  ): Promise<void> {
    if (this.#folder === undefined) return;
    // Another run's would pass for this one's.
    if (!this.#bestIsOurs) await rm(join(this.#folder, BEST), { force: true });
    this.#bestIsOurs = true;
    const path = join(this.#folder, 'last.safetensors');
    await saveModelFile(path, { ...info, training }, model, optimizer);
    this.#newest = path;
    this.#newestStep = training.step;
  }
}
