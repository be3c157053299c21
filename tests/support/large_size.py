"""Table sizes of the long tests: the defaults keep the duration of a run acceptable."""

import os

# MANY_APPEALS=1000000 in the environment takes about ten times as long.
MANY_APPEALS = int(os.environ.get("MANY_APPEALS", "100000"))
# NOTICE_ORGANISATIONS=2000 in the environment is the size of the region.
NOTICE_ORGANISATIONS = int(os.environ.get("NOTICE_ORGANISATIONS", "200"))
# REPORT_APPEALS=50000 in the environment takes three minutes.
REPORT_APPEALS = int(os.environ.get("REPORT_APPEALS", "15000"))
# TABLE_SIZES_SCALE=1 in the environment fills the purged tables at the full load of a region.
TABLE_SIZES_SCALE = int(os.environ.get("TABLE_SIZES_SCALE", "10"))
# WEBHOOK_CHAOS_EVENTS=20000 in the environment makes a million deliveries, for which two cores need an hour.
WEBHOOK_CHAOS_EVENTS = int(os.environ.get("WEBHOOK_CHAOS_EVENTS", "500"))
