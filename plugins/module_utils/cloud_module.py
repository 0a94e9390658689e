# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules that log in to a cloud have in common: a login that cannot be found is explained."""

from __future__ import annotations

import os

from ansible_collections.openstack.cloud.plugins.module_utils.openstack import OpenStackModule

from .zarrstream.cloud_entry import ENVIRONMENT, explained


class CloudModule(OpenStackModule):
    """The collection's base class, with more to say about a cloud that is not found."""

    def openstack_cloud_from_module(self):
        """Log in, or say what is missing."""
        fail = self.fail_json

        def explain(msg, **details):
            from openstack.config import OpenStackConfig

            found = OpenStackConfig()
            named = os.environ.get("OS_CLIENT_CONFIG_FILE")
            files = [named] if named else [path for path in map(str, found._config_files) if path.endswith("clouds.yaml")]
            names = sorted(set(found.get_cloud_names()) - {ENVIRONMENT, "defaults"})
            fail(msg=explained(msg, os.environ, names, list(dict.fromkeys(files))), **details)

        self.fail = self.fail_json = explain
        try:
            return super().openstack_cloud_from_module()
        finally:
            self.fail = self.fail_json = fail
