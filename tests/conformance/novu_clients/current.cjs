// The official SDK (@novu/api), unmodified: only the URL is ours. Prints one JSON object a step.
const { createRequire } = require("node:module");
const assert = require("node:assert/strict");
const load = createRequire(process.env.SLUICE_NODE_MODULES + "/");
const { Novu } = load("@novu/api");

const [url, key, phone] = process.argv.slice(2);
const noRetries = { strategy: "none" };
const novu = new Novu({ secretKey: key, serverURL: url, retryConfig: noRetries });
const mark = phone.slice(1);

async function until(holds) {
  for (let tries = 0; !(await holds()); tries += 1) {
    assert.ok(tries < 600, String(holds));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function raised(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was raised");
}

async function events() {
  const to = [{ subscriberId: `u${mark}`, phone, firstName: "Ada" }, { type: "Topic", topicKey: "nobody" }];
  let answer = await novu.trigger({ workflowId: "order-shipped", to, payload: { n: 1 }, transactionId: `tx${mark}` }, `idem-${mark}`);
  assert.equal(answer.result.status, "processed");
  assert.equal(answer.result.transactionId, `tx${mark}`);
  const replay = await novu.trigger({ workflowId: "order-shipped", to, payload: { n: 1 }, transactionId: `tx${mark}` }, `idem-${mark}`);
  assert.deepEqual(replay.result, answer.result);
  answer = await novu.triggerBulk({
    events: ["order-shipped", "nothing", "order-shipped"].map((workflowId, i) => ({ workflowId, to: `b${i}`, payload: { n: i } })),
  });
  assert.deepEqual(answer.result.map((one) => one.status), ["processed", "error", "processed"]);
  assert.deepEqual(answer.result[1].error, ["workflow_not_found"]);
  answer = await novu.triggerBroadcast({ name: "much-later", payload: {} });
  assert.equal(answer.result.status, "processed");
  await novu.trigger({ workflowId: "much-later", to: "c1", transactionId: `later${mark}` });
  // Nobody can stop what nobody knows yet.
  await until(async () => (await novu.notifications.list({ transactionId: `later${mark}` })).result.data.length);
  assert.equal((await novu.cancel(`later${mark}`)).result, true);
  assert.equal((await novu.cancel("never-heard-of")).result, false);
}

async function errors() {
  let error = await raised(() => novu.trigger({ workflowId: "nothing", to: "u1" }));
  assert.equal(error.name, "ValidationErrorDto", String(error));
  assert.equal(error.message, "workflow_not_found");
  error = await raised(() => novu.triggerBulk({ events: Array(101).fill({ workflowId: "order-shipped", to: "u1" }) }));
  assert.equal(error.errors.events.messages[0], "events must contain no more than 100 elements");
  error = await raised(() => novu.trigger({ workflowId: "strict", to: "u1", payload: {} }));
  assert.equal(error.name, "PayloadValidationExceptionDto", String(error));
  const stranger = new Novu({ secretKey: "sk_nobodys", serverURL: url, retryConfig: noRetries });
  error = await raised(() => stranger.trigger({ workflowId: "order-shipped", to: "u1" }));
  assert.equal(error.name, "ErrorDto", String(error));
  assert.equal(error.message, "API Key not found");
  const inactive = await novu.trigger({ workflowId: "switched-off", to: "u1" });
  assert.equal(inactive.result.status, "trigger_not_active");
}

async function people() {
  const id = `s${mark}`;
  const made = await novu.subscribers.create({ subscriberId: id, firstName: "Ada", data: { plan: "pro" } });
  assert.equal(made.result.subscriberId, id);
  assert.equal((await novu.subscribers.patch({ lastName: "L" }, id)).result.lastName, "L");
  assert.equal((await novu.subscribers.search({ subscriberId: id })).result.data.length, 1);
  const bulk = await novu.subscribers.createBulk({ subscribers: [{ subscriberId: id }, { subscriberId: `${id}-2` }] });
  assert.equal(bulk.result.created.length, 1);
  const wanted = await novu.subscribers.preferences.update({ channels: { email: false } }, id);
  assert.equal(wanted.result.global.channels.email, false);
  assert.ok((await novu.subscribers.preferences.list({ subscriberId: id })).result.workflows.length > 0);
  await novu.subscribers.credentials.update({ providerId: "slack", credentials: { webhookUrl: "https://x.example" } }, id);
  const key = `t${mark}`;
  assert.equal((await novu.topics.create({ key, name: "All" })).result.key, key);
  const joined = await novu.topics.subscriptions.create({ subscriptions: [id, "nobody"] }, key);
  assert.equal(joined.result.meta.failed, 1);
  assert.equal((await novu.topics.subscriptions.list({ topicKey: key })).result.data[0].subscriber.subscriberId, id);
  assert.equal((await novu.subscribers.topics.list({ subscriberId: id })).result.data[0].topic.key, key);
  await novu.topics.subscriptions.delete({ subscriptions: [id] }, key);
  assert.equal((await novu.topics.delete(key)).result.acknowledged, true);
  assert.equal((await novu.subscribers.delete(id)).result.status, "deleted");
}

async function definitions() {
  const workflowId = `wf${mark}`;
  const steps = [
    { name: "Text", type: "sms", controlValues: { body: "Hi" } },
    { name: "Mail", type: "email", controlValues: { subject: "S", body: "<p>x</p>" } },
    { name: "Wait", type: "delay", controlValues: { type: "regular", amount: 1, unit: "days" } },
    { name: "Bell", type: "in_app", controlValues: { body: "x" } },
  ];
  const made = await novu.workflows.create({ name: "W", workflowId, steps, active: true });
  assert.deepEqual(made.result.steps.map((step) => step.type), ["sms", "email", "delay", "in_app"]);
  assert.equal((await novu.workflows.get(workflowId)).result.id, made.result.id);
  assert.equal((await novu.workflows.list({ query: workflowId })).result.totalCount, 1);
  assert.equal((await novu.workflows.patch({ active: false }, workflowId)).result.status, "INACTIVE");
  await novu.workflows.delete(workflowId);
  const integrations = await novu.integrations.list();
  assert.ok(integrations.result.some((one) => one.providerId === "novu-sms"));
  await novu.integrations.listActive();
}

async function reads() {
  let entry;
  await until(async () => {
    [entry] = (await novu.notifications.list({ transactionId: `tx${mark}` })).result.data;
    return entry?.jobs?.[0]?.status === "completed";
  });
  assert.equal(entry.jobs[0].providerId, "novu-sms");
  const one = await novu.notifications.retrieve(entry.id);
  assert.equal(one.result.transactionId, `tx${mark}`);
  const messages = await novu.messages.retrieve({ transactionId: [`tx${mark}`] });
  assert.equal(messages.result.data[0].phone, phone);
  await novu.messages.delete(messages.result.data[0].id);
  await novu.messages.deleteByTransactionId(`tx${mark}`);
}

(async () => {
  for (const part of [events, errors, people, definitions, reads]) {
    await part();
    console.log(part.name);
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
