curl --request POST \
  --url https://api.pocketflows.com/businesses/{id}/triggers \
  --header 'Authorization: Basic <encoded-value>' \
  --header 'Content-Type: application/json' \
  --data '{
  "project_defined_event": "<string>",
  "name": "<string>",
  "filter": "<string>",
  "metadata": {},
  "attributed_revenue": 123,
  "steps": [
    {
      "type": "email",
      "custom_step_id": "<string>",
      "email_template_id": "<string>"
    }
  ],
  "email_address": "<string>",
  "phone_number": "<string>",
  "excluded_customers": [
    "<string>"
  ]
}'
