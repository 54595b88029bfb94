// @anthropic-ai/sdk: CELL URL PROMPT; prints what it was answered.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const load = createRequire(process.env.NODE_PATH + "/");
const Anthropic = load("@anthropic-ai/sdk").default;
const [cell, url, prompt] = process.argv.slice(2);
const client = new Anthropic({ apiKey: "x", baseURL: url });
const properties = { city: { type: "string" }, count: { type: "integer" } };
const schema = { type: "object", properties, required: ["city", "count"], additionalProperties: false };
const note = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
const more = { model: "claude-sonnet-4-5", max_tokens: 1000 };
if (cell === "tools" || cell === "parallel")
  more.tools = [{ name: "note", description: "Read a note", input_schema: note }];
if (cell === "structured") more.output_config = { format: { type: "json_schema", schema } };
const messages = [{ role: "user", content: prompt }];
if (cell === "streamed" || cell === "cut") {
  const stream = client.messages.stream({ ...more, messages });
  stream.on("text", (text) => process.stdout.write(text));
  await stream.finalMessage();
} else {
  let answer;
  for (let turn = 0; turn < 3; turn++) {
    answer = await client.messages.create({ ...more, messages });
    const calls = answer.content.filter((block) => block.type === "tool_use");
    if (!calls.length) break;
    const results = calls.map((call) => ({
      type: "tool_result", tool_use_id: call.id, content: readFileSync(call.input.name, "utf8"),
    }));
    messages.push({ role: "assistant", content: answer.content }, { role: "user", content: results });
  }
  console.log(answer.content.map((block) => block.text ?? "").join(""));
}
