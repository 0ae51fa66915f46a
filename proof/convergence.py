"""Any order, repetition and share of the payloads gives the same parcel: by the fold, and through the real ledger.

The payloads are the street's bytes, and some of them tell a scan in other words (`altered`): a carrier that corrects
itself. Nothing is compared with a truth here, only with another order of the same.
"""

import json
import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from carriers.contract import Payload, Readings
from fleet.clocks import to_us
from merchants.terms import default_for, shipped
from proof.feeds import Feeds, feed, shipment
from proof.journeys import READS, make
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.outbox import OUTBOX_NAMES
from store.parcels import find_parcel, register_parcel
from store.schema import outbox
from store.statement import statement
from tracker.explain import explained
from tracker.ledger import Ledger
from tracker.lifecycle import Shipment, Sighting, Telling, fold
from tracker.policy import conclude
