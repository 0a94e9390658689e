# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules that log in to a cloud have in common: a login that is not found, or does not fit together, is explained."""

from __future__ import annotations

import os

from ansible_collections.openstack.cloud.plugins.module_utils.openstack import OpenStackModule

from .zarrstream.compat import cloud_files
from .zarrstream.errors import ZarrstreamError
from .zarrstream.openstack.cloud_entry import ENVIRONMENT, explained
from .zarrstream.openstack.keystone import unusable_login


class CloudModule(OpenStackModule):
    """The collection's base class, with more to say about a login that cannot work. A module has ``answer``, which gives its result."""

    def run(self):
        """End with the result, or with an error of the core and its details."""
        try:
            result = self.answer()
        except ZarrstreamError as error:
            self.fail_json(msg=str(error), **error.details)
        self.exit_json(**{"changed": False, **result})

    def openstack_cloud_from_module(self):
        """Log in, or say what is missing, or which settings of the login do not fit together."""
        from keystoneauth1.exceptions import AuthPluginException

        fail = self.fail_json
        cloud = self.params["cloud"] or os.environ.get("OS_CLOUD") or ENVIRONMENT

        def explain(msg, **details):
            from openstack.config import OpenStackConfig

            found = OpenStackConfig()
            named = os.environ.get("OS_CLIENT_CONFIG_FILE")
            files = [named] if named else cloud_files(found)
            names = sorted(set(found.get_cloud_names()) - {ENVIRONMENT, "defaults"})
            fail(msg=explained(msg, os.environ, names, list(dict.fromkeys(files))), **details)

        self.fail = self.fail_json = explain
        try:
            return super().openstack_cloud_from_module()
        except AuthPluginException as error:
            fail(msg=str(unusable_login(cloud if isinstance(cloud, str) else "this cloud", error)))
        finally:
            self.fail = self.fail_json = fail
