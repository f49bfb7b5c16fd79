// The first official SDK (@novu/node), unmodified: only the URL is ours.
const { createRequire } = require("node:module");
const assert = require("node:assert/strict");
const load = createRequire(process.env.SLUICE_NODE_MODULES + "/");
const { Novu } = load("@novu/node");

const [url, key, phone] = process.argv.slice(2);
const novu = new Novu(key, { backendUrl: url, retryConfig: { retryMax: 3, waitMin: 1, waitMax: 1, initialDelay: 1 } });
const mark = phone.slice(1);

async function events() {
  const to = { subscriberId: `n${mark}`, phone, firstName: "Ada" };
  let answer = await novu.trigger("order-shipped", { to, payload: { n: 1 }, transactionId: `first${mark}` });
  assert.equal(answer.data.data.transactionId, `first${mark}`);
  answer = await novu.bulkTrigger([0, 1].map((i) => ({ name: "order-shipped", to: { subscriberId: `n${i}` }, payload: { n: i } })));
  assert.deepEqual(answer.data.data.map((one) => one.status), ["processed", "processed"]);
  answer = await novu.broadcast("much-later", { payload: {} });
  assert.equal(answer.data.data.status, "processed");
  answer = await novu.events.cancel("never-heard-of");
  assert.equal(answer.data.data, false);
  await assert.rejects(novu.trigger("nothing", { to: "u1", payload: {} }), (error) => error.response.data.message === "workflow_not_found");
}

async function people() {
  const id = `f${mark}`;
  let answer = await novu.subscribers.identify(id, { firstName: "Ada", email: `${id}@example.com` });
  assert.equal(answer.data.data.subscriberId, id);
  assert.equal((await novu.subscribers.update(id, { lastName: "L" })).data.data.lastName, "L");
  assert.equal((await novu.subscribers.get(id)).data.data.firstName, "Ada");
  assert.equal((await novu.subscribers.list(0)).data.page, 0);
  await novu.subscribers.bulkCreate([{ subscriberId: `${id}-2` }]);
  await novu.subscribers.setCredentials(id, "fcm", { deviceTokens: ["a"] });
  await novu.subscribers.deleteCredentials(id, "fcm");
  await novu.subscribers.updateOnlineStatus(id, true);
  answer = await novu.subscribers.getPreference(id);
  assert.ok(answer.data.data.some((one) => one.template.name === "Order Shipped"));
  await novu.subscribers.updateGlobalPreference(id, { enabled: true, preferences: [{ type: "email", enabled: false }] });
  assert.equal((await novu.subscribers.getGlobalPreference(id)).data.data[0].preference.channels.email, false);
  assert.equal((await novu.subscribers.getUnseenCount(id)).data.data.count, 0);
  const topic = `f-${mark}`;
  await novu.topics.create({ key: topic, name: "All" });
  assert.deepEqual((await novu.topics.addSubscribers(topic, { subscribers: [id] })).data.data.succeeded, [id]);
  await novu.topics.checkSubscriber(topic, id);
  assert.deepEqual((await novu.topics.get(topic)).data.data.subscribers, [id]);
  await novu.topics.rename(topic, "Some");
  await novu.topics.list({ key: topic });
  await novu.topics.removeSubscribers(topic, { subscribers: [id] });
  await novu.topics.delete(topic);
  const tenant = `acme-${mark}`;
  await novu.tenants.create(tenant, { name: "Acme", data: { k: 1 } });
  await novu.tenants.update(tenant, { name: "Acme Inc" });
  assert.equal((await novu.tenants.get(tenant)).data.data.name, "Acme Inc");
  await novu.tenants.list({ page: 0, limit: 10 });
  await novu.tenants.delete(tenant);
  await novu.subscribers.delete(id);
}

async function definitions() {
  const groups = await novu.notificationGroups.get();
  const notificationGroupId = groups.data.data[0]._id;
  const made = await novu.notificationTemplates.create({
    name: `First ${mark}`, notificationGroupId, active: true,
    steps: [{ template: { type: "sms", content: "Hi {{name}}" }, active: true, filters: [] }],
  });
  const workflow = made.data.data;
  assert.equal(workflow.steps[0].template.content, "Hi {{name}}");
  const answer = await novu.trigger(workflow.triggers[0].identifier, { to: `n${mark}`, payload: { name: "Grace" } });
  assert.equal(answer.data.data.status, "processed");
  assert.equal((await novu.notificationTemplates.getOne(workflow._id)).data.data.name, `First ${mark}`);
  assert.equal((await novu.notificationTemplates.updateStatus(workflow._id, false)).data.data.active, false);
  assert.ok((await novu.notificationTemplates.getAll({ page: 0, limit: 50 })).data.totalCount > 0);
  await novu.notificationTemplates.delete(workflow._id);
  assert.ok((await novu.integrations.getAll()).data.data.length > 0);
  assert.ok((await novu.messages.list()).data.data);
}

(async () => {
  for (const part of [events, people, definitions]) {
    await part();
    console.log(part.name);
  }
})().catch((error) => {
  console.error(error.response ? [error.config.method, error.config.url, error.response.status, error.response.data] : error);
  process.exit(1);
});
