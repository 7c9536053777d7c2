"""Making a release: recipe, clean place, bundling, and the runtime of this project."""
