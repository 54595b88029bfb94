// openai, Responses: CELL URL PROMPT; prints what it was answered.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const load = createRequire(process.env.NODE_PATH + "/");
const OpenAI = load("openai").default;
const [cell, url, prompt] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "x", baseURL: url + "/v1" });
const properties = { city: { type: "string" }, count: { type: "integer" } };
const schema = { type: "object", properties, required: ["city", "count"], additionalProperties: false };
const note = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
const more = { model: "gpt-5.1" };
if (cell === "tools" || cell === "parallel")
  more.tools = [{ type: "function", name: "note", parameters: note, strict: false }];
if (cell === "structured")
  more.text = { format: { type: "json_schema", name: "city", strict: true, schema } };
const input = [{ role: "user", content: prompt }];
if (cell === "streamed" || cell === "cut") {
  const stream = await client.responses.create({ ...more, input, stream: true });
  for await (const event of stream)
    if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
} else {
  let answer;
  for (let turn = 0; turn < 3; turn++) {
    answer = await client.responses.create({ ...more, input });
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (!calls.length) break;
    input.push(...answer.output);
    for (const call of calls) {
      const output = readFileSync(JSON.parse(call.arguments).name, "utf8");
      input.push({ type: "function_call_output", call_id: call.call_id, output });
    }
  }
  console.log(answer.output_text);
}
