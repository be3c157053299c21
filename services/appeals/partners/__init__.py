"""Partners: other systems that open appeals, report their status and answer them by signed events."""
