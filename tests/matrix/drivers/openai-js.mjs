// openai, Chat Completions: CELL URL PROMPT; prints what it was answered.
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
  more.tools = [{ type: "function", function: { name: "note", parameters: note } }];
if (cell === "structured")
  more.response_format = { type: "json_schema", json_schema: { name: "city", strict: true, schema } };
const messages = [{ role: "user", content: prompt }];
if (cell === "streamed" || cell === "cut") {
  const stream = await client.chat.completions.create({ ...more, messages, stream: true });
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
} else {
  let message;
  for (let turn = 0; turn < 3; turn++) {
    message = (await client.chat.completions.create({ ...more, messages })).choices[0].message;
    if (!message.tool_calls?.length) break;
    messages.push(message);
    for (const call of message.tool_calls) {
      const content = readFileSync(JSON.parse(call.function.arguments).name, "utf8");
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
  console.log(message.content);
}
