"""Where records come from: Kafka, or recorded files."""
