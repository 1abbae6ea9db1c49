#include "engine/data/formats/RecordIoFormat.h"

#include <memory>

#include "engine/data/records/OpenRecords.h"
#include "engine/data/records/RecordIo.h"
#include "engine/data/records/SageMakerForm.h"
#include "job/ContentType.h"

namespace lockstep {

Format recordio_format() {
  return {
      .name = "RecordIO",
      .recognises =
          [](const FileHead& head) { return head.starts_with(kRecordIoMagic) || head.is_said_to_be(kRecordIoType); },
      .open = [](const ChannelFiles& channel) { return open_records(channel, std::make_unique<SageMakerForm>()); },
      .keeps_index = true};
}

}  // namespace lockstep
