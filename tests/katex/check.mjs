// stdin:  one JSON object a line, {"id": …, "latex": …, "display": true|false}
// stdout: one JSON array of the formulas that KaTeX refuses, [{"id": …, "error": …}]
import { readFileSync } from "node:fs";
import katex from "katex";

// With `trust: false` KaTeX would draw \href and the like as red text, without an error.
const refuse = ({ command }) => {
  throw new Error(`${command} is not trusted`);
};

const failures = [];
for (const line of readFileSync(0, "utf8").split("\n")) {
  if (line === "") continue;
  const { id, latex, display } = JSON.parse(line);
  try {
    katex.renderToString(latex, {
      displayMode: display,
      strict: "error",
      throwOnError: true,
      trust: refuse,
    });
  } catch (error) {
    failures.push({ id, error: error.message });
  }
}
process.stdout.write(JSON.stringify(failures) + "\n");
