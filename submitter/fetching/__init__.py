"""The download manager: files of a job into a folder, each whole and checked or not there at all."""
