// ai with @ai-sdk/anthropic: CELL URL PROMPT; prints what it was answered.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const load = createRequire(process.env.NODE_PATH + "/");
const get = (name) => import(pathToFileURL(load.resolve(name)));
const { generateText, streamText, isStepCount, stepCountIs, tool, jsonSchema, Output } = await get("ai");
const { createAnthropic } = await get("@ai-sdk/anthropic");
const [cell, url, prompt] = process.argv.slice(2);
const model = createAnthropic({ apiKey: "x", baseURL: url + "/v1" })("claude-sonnet-4-5");
const properties = { city: { type: "string" }, count: { type: "integer" } };
const schema = { type: "object", properties, required: ["city", "count"], additionalProperties: false };
const name = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
const more = { model, prompt };
if (cell === "tools" || cell === "parallel") {
  const execute = async (given) => readFileSync(given.name, "utf8");
  more.tools = { note: tool({ description: "Read a note", inputSchema: jsonSchema(name), execute }) };
  more.stopWhen = (isStepCount ?? stepCountIs)(3);
}
if (cell === "structured") more.output = Output.object({ schema: jsonSchema(schema) });
if (cell === "streamed" || cell === "cut") {
  const answer = streamText({ ...more, onError: ({ error }) => { console.error(error); process.exitCode = 1; } });
  for await (const text of answer.textStream) process.stdout.write(text);
} else {
  const answer = await generateText(more);
  console.log(cell === "structured" ? JSON.stringify(answer.output) : answer.text);
}
