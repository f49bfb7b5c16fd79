// Step 1: Get trigger summary from Trigger API
const triggerDetails = await fetch('/api/v1/triggers/abc123/direct');
const { execution, jobs, execution_details_endpoint } = await triggerDetails.json();
console.log(`Total: ${jobs.total}, Sent: ${jobs.sent}, Filtered: ${jobs.filtered}`);
// Output: "Total: 100, Sent: 95, Filtered: 5"
// Step 2: If you need contact-level details, use the execution endpoint
if (jobs.filtered > 0) {
const detailsUrl = execution_details_endpoint; // "/api/v1/sms/executions/xyz789/jobs"
const contactDetails = await fetch(`${detailsUrl}?status=filtered&limit=50`);
const { data } = await contactDetails.json();
// Now you have individual contact records with pagination
data.jobs.forEach(job => {
console.log(`${job.phone_number}: ${job.filter_reason}`);
});
}
