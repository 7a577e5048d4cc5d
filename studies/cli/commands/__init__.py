"""The commands of `nas`, one a file, each named like its file; `nas` lists this folder."""
