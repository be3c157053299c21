"""How large the tables of the long tests are: by default as large as the time of a run allows."""

import os

# MANY_APPEALS=1000000 in the environment takes correspondingly longer.
MANY_APPEALS = int(os.environ.get("MANY_APPEALS", "100000"))
# NOTICE_ORGANISATIONS=2000 in the environment is the whole region.
NOTICE_ORGANISATIONS = int(os.environ.get("NOTICE_ORGANISATIONS", "200"))
# REPORT_APPEALS=50000 in the environment takes three minutes.
REPORT_APPEALS = int(os.environ.get("REPORT_APPEALS", "15000"))
# TABLE_SIZES_SCALE=1 fills the purged tables at a region's whole load.
TABLE_SIZES_SCALE = int(os.environ.get("TABLE_SIZES_SCALE", "10"))
