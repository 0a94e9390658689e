"""A client that reads the profile anew for each request, of every user of a host in turn, until a file is there.

At the end it prints, for each profile, how often which access key was refused or accepted.
"""

import configparser
import os
import sys
import time
from collections import Counter
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ENOUGH, *PROFILES = map(Path, sys.argv[1:])
clients: dict[tuple[str, ...], object] = {}


def client(file: Path) -> tuple[str, object]:
    """The access key that the file has now, and a client with it; to make one costs more than the request."""
    text = file.read_text()
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    key = parser["profile site"]["aws_access_key_id"]
    if (key, str(file)) not in clients:
        os.environ["AWS_CONFIG_FILE"] = str(file)
        clients[key, str(file)] = boto3.Session(profile_name="site").client("s3")
    return key, clients[key, str(file)]


answers: Counter[str] = Counter()
while not ENOUGH.exists():
    for file in PROFILES:
        key, s3 = client(file)
        try:
            s3.list_buckets()
            answers[f"{file} {key} ok"] += 1
        except (BotoCoreError, ClientError) as error:
            answers[f"{file} {key} {error}"] += 1
    time.sleep(0.3)
sys.stdout.writelines(f"{answer}, {count} times\n" for answer, count in sorted(answers.items()))
