"""Folders in storage that fsspec reaches, named by URLs such as s3://bucket/folder.

The other rooms see local paths: a folder in storage has a copy in the cache (`copies`), which is
downloaded before use and uploaded after changes (`uploader`, `publishing`) by the one process that
holds the folder's lease (`lease`). Only TFRecords stay in storage and are read by ranges
(`ranges`). `storage` is the only module that calls fsspec, which is imported when the first URL is
opened.
"""
