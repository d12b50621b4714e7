"""Other people's data as a dataset: `Importer` reads sources in whatever form they are, `Import` writes their rows."""

from decider.data.importers.reading import FRAME, Importer, Source
from decider.data.importers.writing import Import, Imported, counted

__all__ = ["FRAME", "Import", "Imported", "Importer", "Source", "counted"]
