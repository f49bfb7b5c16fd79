"""The publisher and consumer ports, the aiokafka and in-memory adapters, watermark, retry and dead letters."""
