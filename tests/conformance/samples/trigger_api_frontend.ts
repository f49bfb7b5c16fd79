interface TriggerBasicInfo {
id: string;
flow_type: 'direct_channel' | 'workflow';
trigger_type: string;
status: string;
summary: {
total_contacts: number;
sent: number;
failed: number;
filtered: number;
};
details_endpoint: string;
}
async function getTriggerDetails(triggerId: string) {
// Step 1: Get basic info
const basic = await fetch(`/api/v1/triggers/${triggerId}`, {
headers: { 'X-API-Key': API_KEY }
}).then(r => r.json()) as TriggerBasicInfo;
// Step 2: Get detailed info based on flow type
if (basic.flow_type === 'direct_channel') {
const details = await fetch(`/api/v1/triggers/${triggerId}/direct`, {
headers: { 'X-API-Key': API_KEY }
}).then(r => r.json());
return { basic, details, type: 'direct' };
} else {
const details = await fetch(`/api/v1/triggers/${triggerId}/workflow`, {
headers: { 'X-API-Key': API_KEY }
}).then(r => r.json());
return { basic, details, type: 'workflow' };
}
}
// Usage
const trigger = await getTriggerDetails('780cab43...');
if (trigger.type === 'direct') {
console.log(`Channel: ${trigger.details.channel}`);
console.log(`Sent: ${trigger.details.execution.sent_count}`);
console.log(`Filtered: ${trigger.details.jobs.filtered}`);
} else {
console.log(`Workflow: ${trigger.details.workflow.name}`);
console.log(`Steps: ${trigger.details.steps.length}`);
}
