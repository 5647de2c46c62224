"""Makes Nova's tables and its two cells.

    python3 - --config-file FILE... <nova_databases.py

That is `nova-manage api_db sync`, `cell_v2 map_cell0`, `cell_v2 create_cell` and
`db sync`, without starting four times. May run again after it was cut short.
"""

import sys

from nova.cmd import manage
from nova import config
from nova import objects

config.parse_args(sys.argv)
objects.register_all()
cells = manage.CellV2Commands()
ALREADY_THERE = 2
sys.exit(manage.ApiDbCommands().sync() or
         cells.map_cell0() or
         cells.create_cell("cell1") not in (0, ALREADY_THERE) or
         manage.DbCommands().sync() or 0)
