"""Prints the documents of a collection of the database "cron", one JSON object a line."""

import sys

import pymongo
from bson import json_util

client = pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=20000)
options = json_util.RELAXED_JSON_OPTIONS
for document in client["cron"][sys.argv[2]].find().sort([("jobName", 1), ("planTime", 1)]):
    print(json_util.dumps(document, json_options=options))
