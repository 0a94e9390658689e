# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A driver for Nova whose guests are systemd containers on ports of Open vSwitch. For test clouds only.

A Glance image is a root file system in a tar archive. Faults can be asked for by a flavor's extra spec "container:fault":

spawn  the guest does not start: the server goes to ERROR with a message
mute   the guest starts, but never answers SSH
"""

# ruff: noqa: ARG002 - Nova gives these arguments, most of them by name

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import nova.conf
import psutil
from guest import Guest, GuestError, Limits, Port, run
from nova import exception
from nova.api.metadata import base as instance_metadata
from nova.compute import power_state, task_states
from nova.image import glance
from nova.objects import fields
from nova.virt import configdrive, driver, hardware
from nova.virt.node import get_local_node_uuid
from oslo_log import log as logging
from oslo_serialization import jsonutils

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)
FAULT = "container:fault"
# Where cloud-init looks for a config drive that is not a disk.
SEED = "var/lib/cloud/seed/config_drive"
CONSOLE_BYTES = 100 * 1024
DISK_GIB = 500
# Far more virtual CPUs than there are: they are shared, as on a cloud that overcommits.
VCPUS = 32


class ContainerDriver(driver.ComputeDriver):
    """Start, stop and forget guests. Which guests there are is read from their folders, never remembered."""

    capabilities: ClassVar = {**driver.ComputeDriver.capabilities, "has_imagecache": True, "supports_image_type_raw": True}

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi)
        self._images = threading.Lock()
        self._folder = Path(CONF.instances_path)
        self._cache = Path(os.environ["CLOUD_IMAGES"])
        self._ovsdb = os.environ["CLOUD_OVSDB"]
        self._binds = os.environ.get("CLOUD_BINDS", "").split()

    def init_host(self, host: str) -> None:
        """Make the folder of the guests; those in it go on as they are."""
        self._node = host
        self._folder.mkdir(parents=True, exist_ok=True)

    # The node

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        """Return the only node."""
        return [self._node]

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Describe this machine to the compute manager."""
        return {
            "uuid": get_local_node_uuid(),
            "hypervisor_hostname": nodename,
            "hypervisor_type": "systemd-nspawn",
            "hypervisor_version": 1,
            "cpu_info": jsonutils.dumps({}),
            "numa_topology": None,
            "supported_instances": [(fields.Architecture.X86_64, fields.HVType.LXC, fields.VMMode.EXE)],
            "vcpus": VCPUS,
            "vcpus_used": 0,
            "memory_mb": self._memory,
            "memory_mb_used": 0,
            "local_gb": DISK_GIB,
            "local_gb_used": 0,
            "disk_available_least": 0,
        }

    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        """Tell Placement what there is to give away."""
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        totals = {"VCPU": VCPUS, "MEMORY_MB": self._memory, "DISK_GB": DISK_GIB}
        provider_tree.update_inventory(
            nodename,
            {
                name: {"total": total, "max_unit": total, "min_unit": 1, "step_size": 1, "reserved": 0, "allocation_ratio": ratios[name]}
                for name, total in totals.items()
            },
        )

    @property
    def _memory(self) -> int:
        return int(psutil.virtual_memory().total // 2**20)

    # Looking

    def list_instance_uuids(self) -> list[str]:
        """Return the guests that have a folder."""
        return [path.name for path in self._folder.iterdir() if (path / "root").is_dir()]

    def list_instances(self) -> list[str]:
        """Return the guests' folders: Nova compares by uuid where it can."""
        return self.list_instance_uuids()

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        """Tell whether a guest runs."""
        guest = self._guest(instance)
        if not guest.folder.exists():
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return hardware.InstanceInfo(state=power_state.RUNNING if guest.pid else power_state.SHUTDOWN)

    def get_console_output(self, context: Any, instance: Any) -> bytes:
        """Return the end of what the guest wrote on its console."""
        return self._guest(instance).last_output(CONSOLE_BYTES)

    # Doing

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: str | None,
        allocations: Any,
        network_info: Any = None,
        power_on: bool = True,
        **kwargs: Any,
    ) -> None:
        """Make a guest from its image, with a config drive, and boot it; return when its ports are up."""
        fault = instance.flavor.extra_specs.get(FAULT)
        if fault == "spawn":
            raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=f"the flavor asks for a fault ({FAULT}=spawn)")
        guest = self._guest(instance)
        guest.make(self._image(context, instance.image_ref))
        guest.mount()
        metadata = instance_metadata.InstanceMetadata(
            instance,
            content=injected_files,
            extra_md={"admin_pass": admin_password} if admin_password else {},
            network_info=network_info,
        )
        with configdrive.ConfigDriveBuilder(instance_md=metadata) as builder:
            builder._write_md_files(str(guest.root / SEED))
        if fault == "mute":
            (guest.root / "etc/systemd/system/ssh.service").symlink_to("/dev/null")
        if power_on:
            self._start(instance, network_info)

    def destroy(
        self, context: Any, instance: Any, network_info: Any, block_device_info: Any = None, destroy_disks: bool = True, **kwargs: Any
    ) -> None:
        """End a guest, and remove it with its disk."""
        self._guest(instance).stop(seconds=2)
        self.cleanup(context, instance, network_info, destroy_disks=destroy_disks)

    def cleanup(
        self, context: Any, instance: Any, network_info: Any, block_device_info: Any = None, destroy_disks: bool = True, **kwargs: Any
    ) -> None:
        """Remove what is left of a guest that does not run."""
        guest = self._guest(instance)
        guest.unplug(ports(network_info))
        guest.unmount()
        if destroy_disks:
            guest.remove()

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """Shut a guest down."""
        guest = self._guest(instance)
        guest.stop(*([timeout] if timeout else []))

    def power_on(self, context: Any, instance: Any, network_info: Any, *args: Any, **kwargs: Any) -> None:
        """Boot a guest that was shut down."""
        self._start(instance, network_info)

    def reboot(self, context: Any, instance: Any, network_info: Any, reboot_type: str, *args: Any, **kwargs: Any) -> None:
        """Shut a guest down and boot it again; a hard reboot does not wait."""
        self._guest(instance).stop(*([0] if reboot_type == "HARD" else []))
        self._start(instance, network_info)

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]) -> None:
        """Store the root file system of a guest as an image."""
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        guest = self._guest(instance)
        archive = guest.folder / "snapshot.tar"
        try:
            guest.mount()
            run("tar", "--create", "--numeric-owner", "--one-file-system", f"--file={archive}", f"--directory={guest.root}", ".")
            update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
            properties = {"disk_format": "raw", "container_format": "bare", "properties": {}}
            with archive.open("rb") as data:
                glance.API().update(context, image_id, properties, data)
        finally:
            archive.unlink(missing_ok=True)

    def plug_vifs(self, instance: Any, network_info: Any) -> None:
        """Do nothing: devices are made when a guest starts, and those of a guest that runs outlive nova-compute."""

    def unplug_vifs(self, instance: Any, network_info: Any) -> None:
        """Do nothing: see plug_vifs."""

    # Helpers

    def _guest(self, instance: Any) -> Guest:
        return Guest(self._folder / instance.uuid, self._ovsdb)

    def _image(self, context: Any, image: str) -> Path:
        """Fetch an image and unpack it, once."""
        folder = self._cache / image
        with self._images:
            if not folder.exists():
                draft, archive = folder.with_suffix(".part"), folder.with_suffix(".tar")
                draft.mkdir(parents=True, exist_ok=True)
                with archive.open("wb") as file:
                    glance.API().download(context, image, data=file)
                run("tar", "--extract", "--preserve-permissions", "--numeric-owner", f"--file={archive}", f"--directory={draft}")
                archive.unlink()
                draft.rename(folder)
        return folder

    def _start(self, instance: Any, network_info: Any) -> None:
        """Boot a guest, and wait until Neutron says that its ports are up."""
        guest, flavor = self._guest(instance), instance.flavor
        guest.mount()
        events = [("network-vif-plugged", vif["id"]) for vif in network_info or () if not vif.get("active")]
        try:
            with self.virtapi.wait_for_instance_event(instance, events, timeout=CONF.vif_plugging_timeout):
                limits = Limits(vcpus=flavor.vcpus, memory=flavor.memory_mb)
                guest.start(instance.name, instance.hostname or instance.name, limits, ports(network_info), self._binds)
        except GuestError as error:
            raise exception.NovaException(str(error)) from error


def ports(network_info: Any) -> list[Port]:
    """Return what a guest needs to know of its ports."""
    return [
        Port(vif["id"], vif["devname"], vif["address"], vif["network"].get_meta("mtu") or 1442, vif["network"]["bridge"] or "br-int")
        for vif in network_info or ()
    ]
