# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from .api import check as check
from .api import probe as probe
from .api import write as write
from .errors import ZarrstreamError as ZarrstreamError

__version__: str
