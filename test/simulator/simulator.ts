import { expect } from 'chai';
import { Device } from '../../lib/device.js';
import { makeError, type NativeBackend } from '../../lib/native.js';
import { build, needCuda } from '../cuda/targets.js';

/** How a call fails; the order is that of `Fault` in simulator.h. */
export const FAULTS = ['OutOfMemory', 'ExecutionFailed', 'DeviceLost'] as const;
export type Fault = (typeof FAULTS)[number];

/** exports.simulator of the addon: see addon.cc. */
interface Control {
  seed(seed: number): void;
  exact(on: boolean): void;
  limitMemory(bytes: number): void;
  fail(call: string, nth: number, fault: number): void;
  calls(): Record<string, number>;
  counts(): Record<string, number>;
  violations(): string[];
  holdBack(name: string): void;
  ran(): string[];
  cudnn(): number | null;
}

/**
 * Devices that the simulator plays in this process, `simulated:0`, `simulated:1`, …; `to` knows their names. They compute
 * in float32.
 */
export class Simulator {
  readonly devices: readonly Device[];
  readonly backend: NativeBackend;
  readonly #control: Control;

  constructor(addon: string) {
    const module = { exports: {} as NativeBackend & { simulator: Control } };
    process.dlopen(module, addon);
    this.backend = module.exports;
    this.#control = module.exports.simulator;
    this.backend.initialize(makeError);
    process.once('exit', () => this.backend.stop());
    // The constructor and the map are lib/'s own: there is no device of this kind for users.
    const known = Reflect.get(Device, 'known') as Map<string, Device>;
    this.devices = Array.from({ length: Number(this.backend.describe().devices) }, (_, index) => {
      const device: Device = Reflect.construct(Device, [`simulated:${index}`, index, this.backend]);
      known.set(device.name, device);
      this.backend.setOption(index, 'tf32', 0);
      return device;
    });
  }

  device(index = 0): Device {
    const device = this.devices[index];
    if (device === undefined) throw new Error(`no device ${index} is played`);
    return device;
  }

  /** Of the order of work from now on. */
  seed(seed: number): void {
    this.#control.seed(seed);
  }
  /** Whether each tensor and workspace has a block of its own and of its size, and is freed where it ends. */
  exact(on: boolean): void {
    this.#control.exact(on);
  }
  /** So much memory each device has from now on, or less. */
  limitMemory(bytes: number): void {
    this.#control.limitMemory(bytes);
  }
  /** The `nth` call of that name from now on fails; 0: none does. */
  fail(call: string, nth: number, fault: Fault): void {
    this.#control.fail(call, nth, FAULTS.indexOf(fault));
  }
  /** How often each call was made so far. */
  calls(): Readonly<Record<string, number>> {
    return this.#control.calls();
  }
  /** What is live, by kind. */
  counts(): Readonly<Record<string, number>> {
    return this.#control.counts();
  }
  /**
   * Work of that name, such as `a copy between devices`, runs when nothing else can; '' for none. For as long as there is
   * one, `ran` tells the names of what did, in order.
   */
  holdBack(name: string): void {
    this.#control.holdBack(name);
  }
  ran(): readonly string[] {
    return this.#control.ran();
  }
  /** The version of the real cuDNN, which descriptors go on to, such as 92801; null where there is none. */
  cudnn(): number | null {
    return this.#control.cudnn();
  }
  /** Those so far. */
  violations(): readonly string[] {
    return this.#control.violations();
  }
}

/** Of test/cuda/devices: a device for each file. */
export const PLAYED = ['h100', 't4', 'a100', 'rtx4090', 'b200'] as const;

/** Those of them that reach each other's memory. */
export const PEERS: readonly number[] = [0, 1, 2];

let loaded: Simulator | undefined;

/**
 * Makes the simulator current and loads it before the suite's tests; the same one for all suites of the process. None of
 * its tests may break a rule.
 */
export function useSimulator(): Simulator {
  before(function () {
    this.timeout(600_000);
    needCuda(this);
    process.env.NODE_CUDNN_SIMULATOR = `devices=${PLAYED.join(',')} peers=${PEERS.join(',')}`;
    if (loaded !== undefined) return;
    loaded = new Simulator(build('node_cudnn_simulator'));
    const cudnn = loaded.cudnn();
    console.log(`      the simulator, ${cudnn === null ? 'without cuDNN' : `before cuDNN ${cudnn}`}`);
  });
  afterEach(() => {
    if (loaded !== undefined) expect(loaded.violations(), 'violations').to.deep.equal([]);
  });
  // Loaded later than it is asked for.
  return new Proxy({} as Simulator, {
    get: (_, name) => {
      if (loaded === undefined) throw new Error('the simulator is not loaded yet');
      const value: unknown = Reflect.get(loaded, name, loaded);
      return typeof value === 'function' ? value.bind(loaded) : value;
    },
  });
}

/** The seeds of the order of work that the tests are run with. */
export const SEEDS = Array.from({ length: Number(process.env.NODE_CUDNN_TEST_SEEDS ?? 2) }, (_, i) => i + 1);
