curl --location '/api/v1/streams/strm_1234abcd/events' \
--header 'Authorization: <api-key>' \
--header 'Content-Type: application/json' \
--data '{
    "contact": {
        "phone_number": "string",
        "name": "string",
        "email": "string"
    },
    "property1": "string",
    "property2": "string"
}'
