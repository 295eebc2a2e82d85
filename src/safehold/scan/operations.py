"""Operations of TensorFlow graphs that reach beyond the graph, and what each does.

Everything else computes on tensors, or on checkpoints that the caller names.
"""

from __future__ import annotations

from typing import Final

# They do it whatever their inputs are, and a model that computes needs none of them.
_ALWAYS: Final = (
    (
        "PyFunc PyFuncStateless EagerPyFunc",
        "calls a Python function of the process by its number",
    ),
    (
        """
        WriteFile SaveDataset SaveDatasetV2 DatasetToTFRecord ExperimentalDatasetToTFRecord
        DebugIdentity DebugIdentityV2 DebugIdentityV3
        """,
        "writes files, or sends tensors to an address",
    ),
    (
        """
        RpcServer RpcServerStart RpcServerRegister RpcClient RpcCall Rpc TryRpc
        DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4
        RegisterDataset RegisterDatasetV2 BigQueryReader BigQueryClient BigtableClient KafkaDataset
        """,
        "talks to other machines",
    ),
    (
        "SqlDataset ExperimentalSqlDataset ExperimentalLMDBDataset LMDBDataset LMDBReader",
        "opens a database",
    ),
    (
        "DatasetFromGraph DeserializeIterator LoadDataset LoadDatasetV2",
        "runs a graph or a dataset that stands in bytes of its own",
    ),
    ("ShellExecute", "starts a program"),
)
# They read what their first input names.
_READS: Final = (
    "ReadFile MatchingFiles MatchingFilesDataset ExperimentalMatchingFilesDataset "
    "TextLineDataset FixedLengthRecordDataset FixedLengthRecordDatasetV2 TFRecordDataset "
    "TFRecordDatasetV2 CSVDataset CSVDatasetV2 ExperimentalCSVDataset "
    "LoadAndRemapMatrix GenerateVocabRemapping"
)
# These get their files from a queue, or write what a training run is told to write.
_OTHERS: Final = (
    "CreateSummaryFileWriter CreateSummaryDbWriter ImportEvent SnapshotDataset SnapshotDatasetV2 "
    "WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 FixedLengthRecordReader "
    "FixedLengthRecordReaderV2 TFRecordReader TFRecordReaderV2 IdentityReader IdentityReaderV2"
)
# Part of every model with a saver; their place is normally given by the caller.
_SAVES: Final = "Save SaveV2 SaveSlices MergeV2Checkpoints"
_RESTORES: Final = "Restore RestoreV2 RestoreSlice"

HOSTILE: Final = {name: why for names, why in _ALWAYS for name in names.split()}
READS: Final = frozenset(_READS.split())
OTHERS: Final = frozenset(_OTHERS.split())
SAVES: Final = frozenset(_SAVES.split())
RESTORES: Final = frozenset(_RESTORES.split())
# The one that prints can print into a file.
PRINTS: Final = "PrintV2"
