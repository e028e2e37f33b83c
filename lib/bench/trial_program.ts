// trial_program TRIAL: runs one trial, given as JSON, and prints its result as a line of JSON.
import { runTrial, type Trial } from './trial.js';

const result = await runTrial(JSON.parse(process.argv[2] ?? '') as Trial);
process.stdout.write(`${JSON.stringify(result)}\n`);
