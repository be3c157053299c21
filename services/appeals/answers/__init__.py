"""Effects of an answer on its appeal: published replies, recorded answers, and messages that came later."""
