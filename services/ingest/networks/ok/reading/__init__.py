"""Reading of OK groups: topics, discussions and direct messages."""
