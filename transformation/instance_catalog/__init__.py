"""Instance catalogs and physics command files as PhoSim reads them: streamed, strictly checked, explained."""

from transformation.instance_catalog.commands import PhysicsCommands, read_physics_commands
from transformation.instance_catalog.header import header_lines, read_defaults
from transformation.instance_catalog.problems import CatalogFault, CatalogInvalid, CommandsInvalid, Problem
from transformation.instance_catalog.read import OBJECTS_NAME, Limits, read_instance_catalogs
from transformation.instance_catalog.source import SizeLimits
from transformation.instance_catalog.visit import InstanceCatalog

__all__ = [
    "OBJECTS_NAME",
    "CatalogFault",
    "CatalogInvalid",
    "CommandsInvalid",
    "InstanceCatalog",
    "Limits",
    "PhysicsCommands",
    "Problem",
    "SizeLimits",
    "header_lines",
    "read_defaults",
    "read_instance_catalogs",
    "read_physics_commands",
]
