// `npm audit`, which fails where a vulnerability is known, and is passed over where no registry answers.
import { spawnSync } from 'node:child_process';

const { stdout } = spawnSync('npm', ['audit', '--json', '--fetch-retries=0'], { encoding: 'utf8' });
const report = JSON.parse(stdout || '{}');
/** How npm says that no registry, or one without advisories, was reached. */
const NO_ANSWER = /^(40[45]|5\d\d) |E(CONN|NOTFOUND|TIMEDOUT|AI_AGAIN)|ENOAUDIT|network|audit endpoint/i;
if (report.metadata === undefined) {
  const reason = report.message ?? report.error?.summary ?? stdout;
  const passedOver = NO_ANSWER.test(reason);
  console.error(
    `npm audit: ${passedOver ? 'passed over' : 'failed'}, the registry gave no answer (${reason})`,
  );
  process.exitCode = passedOver ? 0 : 1;
} else {
  const { total } = report.metadata.vulnerabilities;
  for (const { name, severity, range } of Object.values(report.vulnerabilities))
    console.error(`npm audit: ${name} ${range}: ${severity}`);
  console.error(`npm audit: ${total} known vulnerabilities`);
  process.exitCode = total === 0 ? 0 : 1;
}
