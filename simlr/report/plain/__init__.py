"""What a report says as plain text: on a terminal, and in Markdown."""
