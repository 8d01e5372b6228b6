"""Inserts documents into a collection of the database "cron": one JSON object a line, from the standard input."""

import sys

import pymongo
from bson import json_util

client = pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=20000)
client["cron"][sys.argv[2]].insert_many([json_util.loads(line) for line in sys.stdin])
