# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from .commands.api import check as check
from .commands.api import probe as probe
from .commands.api import write as write
from .errors import ZarrstreamError as ZarrstreamError

__version__: str
