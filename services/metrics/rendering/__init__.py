"""The weekly report as HTML, PDF, XLSX and JSON: functions from the document to bytes, without a database."""
