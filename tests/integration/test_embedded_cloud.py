# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role embedded_cloud: a cloud that clients believe, and that mends itself."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError


def test_s3_over_tls_and_anonymous(cloud):
    client = cloud.s3(*cloud.new_ec2_key())
    client.create_bucket(Bucket="first-bucket")
    client.put_object(Bucket="first-bucket", Key="a/b", Body=b"content")
    assert client.get_object(Bucket="first-bucket", Key="a/b")["Body"].read() == b"content"
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.anonymous_s3().get_object(Bucket="first-bucket", Key="a/b")
    client.put_bucket_acl(Bucket="first-bucket", ACL="public-read")
    assert cloud.anonymous_s3().get_object(Bucket="first-bucket", Key="a/b")["Body"].read() == b"content"
