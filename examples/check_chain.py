"""Check the hash chains of a saved file, with the standard library only: `python3 examples/check_chain.py < my-notes.jsonl`."""

import base64
import hashlib
import json
import sys


def hash_of(content: bytes) -> str:
    """SHA-256 as base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


heads: dict[str, tuple[int, str]] = {}
for line in sys.stdin.buffer:
    event = json.loads(line)
    if "replica" not in event:
        continue  # header and footer
    replica, seq = event["replica"], event["seq"]
    if (seq - 1, event["prev"]) != heads.get(replica, (0, "A" * 43)):
        sys.exit(f"{replica}:{seq} does not continue its chain")
    hashed, _, content = line.rstrip(b"\n").partition(b',"salt":')
    salt, _, data = content.partition(b',"data":')
    if event["salt"] is not None and hash_of(salt.strip(b'"') + data[:-1]) != event["digest"]:
        sys.exit(f"{replica}:{seq} was altered")
    heads[replica] = seq, hash_of(hashed)
print({replica: seq for replica, (seq, _) in heads.items()})
