// `npm audit`, which fails where a vulnerability is known, and is passed over where no registry answers.
import { spawnSync } from 'node:child_process';

const { stdout } = spawnSync('npm', ['audit', '--json', '--fetch-retries=0'], { encoding: 'utf8' });
const report = JSON.parse(stdout || '{}');
if (report.metadata === undefined) {
  console.error(`npm audit: passed over, the registry gave no answer (${report.message ?? stdout})`);
} else {
  const { total } = report.metadata.vulnerabilities;
  for (const { name, severity, range } of Object.values(report.vulnerabilities))
    console.error(`npm audit: ${name} ${range}: ${severity}`);
  console.error(`npm audit: ${total} known vulnerabilities`);
  process.exitCode = total === 0 ? 0 : 1;
}
